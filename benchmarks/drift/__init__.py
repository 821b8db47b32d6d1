"""False alarms, detections and cost of the drift monitor, beside other monitors on the same rows."""
