"""Where data stands: on this machine or in a bucket, under DVC; how outputs appear whole and copies travel."""
