"""Makes the buckets that are named as arguments where they are missing; safe to run at every start."""

from __future__ import annotations

import sys

import boto3
from botocore.exceptions import ClientError


def main() -> None:
    """Make them in the store that the AWS variables name."""
    store = boto3.client("s3")
    for bucket in sys.argv[1:]:
        try:
            store.create_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise
        sys.stderr.write(f"bucket {bucket} is there\n")


if __name__ == "__main__":
    main()
