"""pymodbus against examples-c/modbus-server.c, with 1000 registers and coils. Arguments: host, port, `read-only` or nothing."""
import sys

from pymodbus.client import ModbusTcpClient

client = ModbusTcpClient(sys.argv[1], port=int(sys.argv[2]), timeout=20, retries=0)
assert client.connect()


def refused(code, answer):
    assert answer.isError() and answer.exception_code == code, answer


def good(answer):
    assert not answer.isError(), answer
    return answer


if sys.argv[3:] == ["read-only"]:
    for answer in [
        client.write_coil(1, True),
        client.write_register(1, 1),
        client.write_coils(1, [True]),
        client.write_registers(1, [1]),
    ]:
        refused(1, answer)
    assert good(client.read_holding_registers(0, count=4)).registers == [0] * 4
    sys.exit()

# Every function, up to the longest that the protocol allows.
bits = [i % 3 == 0 for i in range(900)]
words = [(i * 257) & 0xFFFF for i in range(123)]
good(client.write_coils(50, bits))
for read in client.read_coils, client.read_discrete_inputs:
    for count in 1, 7, 8, 9, 900:
        assert good(read(50, count=count)).bits[:count] == bits[:count]
    assert good(read(0, count=1000)).bits[:1000] == [False] * 50 + bits + [False] * 50
    refused(2, read(999, count=2))
    refused(2, read(65535, count=2))
good(client.write_registers(877, words))
for read in client.read_holding_registers, client.read_input_registers:
    assert good(read(877, count=123)).registers == words
    assert good(read(875, count=125)).registers == [0, 0] + words
    refused(2, read(876, count=125))
    refused(2, read(65535, count=2))
for value in True, False:
    assert good(client.write_coil(3, value)).bits[0] == value
    assert good(client.read_coils(3, count=1)).bits[0] == value
for value in 0, 1, 0x1234, 65535:
    assert good(client.write_register(5, value)).registers == [value]
    assert good(client.read_holding_registers(5, count=1)).registers == [value]
refused(2, client.write_coil(1000, True))
refused(2, client.write_register(1000, 1))
refused(2, client.write_coils(999, [True, False]))
refused(2, client.write_registers(999, [1, 2]))
# Another unit is answered in its own name.
assert good(client.read_holding_registers(5, count=1, device_id=7)).dev_id == 7
# Functions that there are not, the short ones among them.
for answer in [
    client.read_exception_status(),
    client.diag_query_data(b"ab"),
    client.diag_get_comm_event_counter(),
    client.report_device_id(),
    client.mask_write_register(address=1),
    client.readwrite_registers(read_address=1, read_count=1, address=1, values=[1]),
    client.read_fifo_queue(),
]:
    refused(1, answer)
    assert good(client.read_coils(50, count=1)).bits[0]
client.close()
