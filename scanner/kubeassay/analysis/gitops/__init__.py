"""GitOps: what Argo CD and Flux deploy, from where, and what a project permits. Pure functions of objects."""
