PRICES = {"美式咖啡": 27, "拿铁": 32, "卡布奇诺": 34}


def look_up_price(name: str) -> str:
    """Look up the price of a drink on the café's menu, in yuan."""
    price = PRICES.get(name)
    return f"{name}: {price}元" if price else f"{name}: 没有"


def place_order(name: str, cups: int) -> str:
    """Order drinks; the customer pays for them."""
    return f"{name} × {cups}: {PRICES.get(name, 0) * cups}元"
