"""Times what people wait for, as ratios to a yardstick of the same run, and says what has become worse."""
