"""The platform that workloads run on: clusters, node groups, and what fits them."""
