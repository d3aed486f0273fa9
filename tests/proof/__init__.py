"""Many random events, summed by hand, against every report and every export."""
