"""What touches the world: storage, services and engines, each a resource."""
