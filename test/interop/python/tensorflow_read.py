"""Loads the newest checkpoint of DIR with CheckpointManager and prints its step and the sum of its weights."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

step = tf.Variable(0, dtype=tf.int64)
weights = tf.Variable(tf.zeros([512, 1024]))
checkpoint = tf.train.Checkpoint(step=step, weights=weights)
manager = tf.train.CheckpointManager(checkpoint, sys.argv[1], max_to_keep=3)
path = manager.restore_or_initialize()
if path is None:
    sys.exit("nothing restored from " + sys.argv[1])
print(f"{os.path.basename(path)} step={int(step)} sum={float(tf.reduce_sum(weights)):.0f}")
