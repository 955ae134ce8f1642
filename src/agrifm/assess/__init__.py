"""From a map and reference points to accuracies and areas with intervals. Reads files; never imports torch."""
