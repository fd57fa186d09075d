"""No-op jobs in Celery on RabbitMQ: ``fill COUNT`` enqueues; the worker is Celery's own command."""

import os
import sys

from celery import Celery
from progress import Progress

progress = Progress()
app = Celery("noop", broker=os.environ["BROKER"])
app.conf.update(
    task_acks_late=True,  # else what a worker had taken is lost when it dies
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "64")),
    task_default_queue=os.environ["QUEUE"],
    broker_transport_options={"confirm_publish": True},
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(_number: int) -> None:
    """Do nothing."""
    progress.mark()


def main() -> None:
    """Enqueue as many as the second argument says, or delete the queue."""
    with app.connection_for_write() as connection:
        if sys.argv[1] == "delete":
            connection.default_channel.queue_delete(os.environ["QUEUE"])
            return
        with app.amqp.Producer(connection) as producer:
            for number in range(int(sys.argv[2])):
                noop.apply_async((number,), producer=producer)


if __name__ == "__main__":
    # as the worker knows the module, so that tasks have the same name
    from noop_celery import main as run

    run()
