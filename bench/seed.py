"""Writes COUNT files of random bytes below FOLDER, 1,000 a folder as datasets have them, and a list of their MD5s.
With --etag they are objects of versitygw's posix backend at once: it keeps an object's ETag as an extended attribute.
    seed.py FOLDER COUNT MEAN_BYTES SPREAD|FLAT MD5_LIST [--etag]"""

import hashlib
import os
import random
import sys


def stretch(pool, at, size):
    if at + size <= len(pool):
        return pool[at : at + size]
    times = size // (len(pool) - at) + 1
    return (pool[at:] * times)[:size]


def main():
    folder, count, mean, spread, listing = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    with_etag = "--etag" in sys.argv
    numbers = random.Random(count)
    pool = numbers.randbytes(1 << 22)
    total = 0
    with open(listing, "w") as md5s:
        for i in range(count):
            if i % 1000 == 0:
                os.makedirs(f"{folder}/class-{i // 1000:03d}", exist_ok=True)
            name = f"class-{i // 1000:03d}/{i:07d}.jpg"
            size = mean if spread == "FLAT" else numbers.randrange(mean // 2, mean + mean // 2)
            # Two objects of the same bytes would let a tool that mixes them up look right.
            body = i.to_bytes(8, "big") + stretch(pool, numbers.randrange(len(pool) // 2), size - 8)
            md5 = hashlib.md5(body).hexdigest()
            with open(f"{folder}/{name}", "wb", buffering=0) as file:
                file.write(body)
                if with_etag:
                    os.setxattr(file.fileno(), "user.etag", f'"{md5}"'.encode())
            md5s.write(f"{md5} {size} {name}\n")
            total += size
    print(total)


main()
