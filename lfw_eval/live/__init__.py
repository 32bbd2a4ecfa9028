"""Names on the faces of a camera, a video or a folder of images, while they come."""
