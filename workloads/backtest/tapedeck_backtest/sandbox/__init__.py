"""The boundary around the strategy's code: its errors, time and memory. The kernel's part is in tapedeck_common."""
