"""What a change of the description does to a cluster, told before it is done: for a pull request, or for the eye."""
