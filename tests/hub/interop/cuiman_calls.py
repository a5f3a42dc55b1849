"""What cuiman's client gives, as JSON; run by the Python beside which it is installed."""

import json
import sys
import time

from cuiman import Client, ClientError, __version__
from gavicore.models import JobStatus, ProcessRequest

# It has no word for the mode of execution, but hands the options of a request on.
ASYNC = {"headers": {"Prefer": "respond-async"}}


def told(model):
    """A model's name and what it holds."""
    return {"model": type(model).__name__, **model.model_dump(mode="json", by_alias=True, exclude_none=True)}


def service(client):
    return {
        "capabilities": told(client.get_capabilities()),
        "conformance": told(client.get_conformance()),
        "processes": told(client.get_processes()),
    }


def described(client, processes):
    return [told(client.get_process(process)) for process in processes]


def executed(client, process, inputs):
    """A job from its start to its results; nothing of it is asked for by link."""
    job = client.execute_process(process, ProcessRequest(inputs=inputs, response="document"), **ASYNC)
    seen = ended(client, job)
    return {
        "seen": [told(info) for info in seen],
        "results": told_results(client.get_job_results(job.jobID)),
        "jobs": told(client.get_jobs()),
    }


def ended(client, job):
    """What is seen of a job until it ends."""
    ends, seen = time.monotonic() + 30, [job]
    while seen[-1].status in {JobStatus.accepted, JobStatus.running} and time.monotonic() < ends:
        time.sleep(0.05)
        seen.append(client.get_job(job.jobID))
    return seen


def told_results(results):
    return {"model": type(results).__name__, "values": results.model_dump(mode="json", exclude_none=True)}


def offered(client, process):
    """The inputs of the request that it makes of a description, to be filled in."""
    return client.create_execution_request(process).to_process_request().inputs


def filled(client, process, inputs):
    """Status of a job of the request that it makes of a description, with no more than some inputs changed."""
    request = client.create_execution_request(process).to_process_request()
    request.inputs.update(inputs)
    return told(ended(client, client.execute_process(process, request, **ASYNC))[-1])


def at_once(client, process, inputs):
    """Without a word of the mode."""
    answer = client.execute_process(process, ProcessRequest(inputs=inputs, response="document"))
    return {"model": type(answer).__name__, "values": answer}


def dismissed(client, process, inputs):
    job = client.execute_process(process, ProcessRequest(inputs=inputs), **ASYNC)
    return [told(client.dismiss_job(job.jobID)), told(client.get_job(job.jobID))]


def refused(client, process, inputs):
    """What it knows of each refusal."""
    calls = (
        lambda: client.get_process(process + "x"),
        lambda: client.get_job("none"),
        lambda: client.execute_process(process, ProcessRequest(inputs=inputs), **ASYNC),
    )
    found = []
    for call in calls:
        try:
            found.append(told(call()))
        except ClientError as error:
            found.append(told(error.api_error))
    return found


def client_of(url, token):
    if token is None:
        return Client(api_url=url)
    if __version__.startswith("0.1."):
        return Client(api_url=url, auth_type="token", token=token)
    return Client(api_url=url, auth={"auth_type": "token", "access_token": token})


if __name__ == "__main__":
    name, url, token, arguments = json.loads(sys.argv[1])
    client = client_of(url, token)
    json.dump(globals()[name](client, **arguments), sys.stdout)
    client.close()
