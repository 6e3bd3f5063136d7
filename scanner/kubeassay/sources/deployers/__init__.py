"""What Argo CD and Flux deploy from a tree: which folders, charts and files, how changed, and to where."""
