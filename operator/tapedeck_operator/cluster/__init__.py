"""The operator on a Kubernetes cluster: kopf's watches feed the reconciler, which writes through the API server."""
