"""The operator on a Kubernetes cluster: watches feed a cache, workers bring each resource nearer to its plan."""
