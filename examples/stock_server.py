"""An MCP server with one tool; examples/agent_with_mcp.toml has reasoning-grpc run it as a child process."""

from mcp.server import MCPServer

STOCK = {"apples": 12, "plums": 40}
server = MCPServer("stock")


@server.tool()
def count_fruit(fruit: str) -> str:
    """Returns how many of a fruit are in stock, such as plums."""
    return f"{STOCK.get(fruit.lower(), 0)} {fruit} in stock"


if __name__ == "__main__":
    server.run("stdio")
