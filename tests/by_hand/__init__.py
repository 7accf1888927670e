"""What the product computes, computed another way."""
