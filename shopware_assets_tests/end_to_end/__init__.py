"""From landed files to what people and applications read, through the command line."""
