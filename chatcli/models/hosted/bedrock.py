"""What the client of AWS Bedrock lacks: it calls a missing login and a missing region by one name."""

import os


def missing_login() -> Exception | None:
    """Return AWS's own words on the credentials that it does not find, None where it has some."""
    import boto3
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return None
    missing: Exception
    try:
        if boto3.Session().get_credentials() is not None:
            return None
        missing = NoCredentialsError()
    except PartialCredentialsError as error:
        missing = error
    except BotoCoreError:  # an unknown profile, say, which the client itself tells
        return None
    return missing
