"""What runs the product: stand-ins for AWS, `make dev`, and what goes to production."""
