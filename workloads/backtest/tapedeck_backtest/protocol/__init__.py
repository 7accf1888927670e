"""What a run's pod and the process of its strategy say to each other over two pipes."""
