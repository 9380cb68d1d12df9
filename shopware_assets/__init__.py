"""The Shopware lakehouse: contracts, transforms and the Dagster assets around them."""
