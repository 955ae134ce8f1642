"""From a cube and a trained model to a map: cloud-optimised GeoTIFFs of classes and confidence."""
