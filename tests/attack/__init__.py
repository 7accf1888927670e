"""Hostile inputs by the thousand at every edge: none may get through (``make attack``)."""
