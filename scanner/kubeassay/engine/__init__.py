"""Evaluates a profile on objects. Nothing else decides what passes.

``plan`` turns a profile into the functions to run at one Kubernetes version; ``evaluate`` runs them on objects;
``findings`` gives each violation its place, identity and fix.
"""
