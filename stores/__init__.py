"""The stores memkit ships; memkit finds them by entry point, as it finds anybody else's."""
