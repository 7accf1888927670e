"""Signals from the pod to the strategy's process."""

from __future__ import annotations

import signal

TIME_SIGNAL = signal.SIGUSR1
"""The bar takes too long: raise that in the strategy's code."""
STACK_SIGNAL = signal.SIGUSR2
"""Write the stack of all threads."""
