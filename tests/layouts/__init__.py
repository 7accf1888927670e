"""One made-up market in the layouts of files that people have, and what a loader should make of each."""
