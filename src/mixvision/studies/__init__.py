"""What belongs to one study alone: its parameters, what it trains, its tables, figures and page.

Studies do not import each other.
"""
