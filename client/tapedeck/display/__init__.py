"""What notebooks show: charts as SVG, tables as HTML, and a progress bar, without any other package or host."""
