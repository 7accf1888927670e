"""The bars of a run: columns, their time axis, coarser intervals built from them, and rolling figures over them."""
