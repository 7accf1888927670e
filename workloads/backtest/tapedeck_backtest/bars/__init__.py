"""A run's bars: columns, their time axis, resampling, warm-up history and rolling figures."""
