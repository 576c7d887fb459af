"""netprobe: TikTok does not work - whose fault is it, how do you know, and what happens next?"""

__version__ = "0.1.0"
