"""memkit over HTTP; needs the extra `[server]`."""
