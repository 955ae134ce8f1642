"""Why a model answers as it does: which dates and bands decided, per class and per parcel."""
