"""What a person sees in Dagster's UI, in a real browser."""
