"""What the commands of ``mediasrv`` do, one module each."""
