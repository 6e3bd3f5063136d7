"""What a change does to security: two inventories compared."""
