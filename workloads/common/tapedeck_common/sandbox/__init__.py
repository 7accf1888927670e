"""A process for foreign code: what it may do is decided by the kernel before the code's first line runs.

The child calls ``enter``; its parent calls ``sweep`` and watches the child's folder. What a kernel lacks is named by
``available``.
"""
