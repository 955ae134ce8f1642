"""What the steps of a project will cost, before anything is downloaded."""
