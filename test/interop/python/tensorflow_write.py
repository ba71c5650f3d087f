"""Trains for STEPS steps and lets CheckpointManager save each one into DIR, keeping three.
usage: tensorflow_write.py DIR STEPS [PAUSE_SECONDS]"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

directory, steps = sys.argv[1], int(sys.argv[2])
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
step = tf.Variable(0, dtype=tf.int64)
weights = tf.Variable(tf.zeros([512, 1024]))
checkpoint = tf.train.Checkpoint(step=step, weights=weights)
manager = tf.train.CheckpointManager(checkpoint, directory, max_to_keep=3)
for _ in range(steps):
    step.assign_add(1)
    weights.assign(tf.fill([512, 1024], tf.cast(step, tf.float32)))
    manager.save(checkpoint_number=step)
    time.sleep(pause)
print(manager.latest_checkpoint)
