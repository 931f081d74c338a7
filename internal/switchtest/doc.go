// Package switchtest is the harness of the integration tests and of bench/scale. It runs the
// built daemon on real links, with a real redis-server or the in-memory database of package lab,
// and with the files and sockets that a switch, systemd or supervisord provides. Each test gets
// its own network and mount namespaces:
//
//	func TestMain(m *testing.M) { switchtest.Main(m) }
//
//	func TestMTU(t *testing.T) {
//		sw := switchtest.New(t)
//		if sw == nil {
//			return // the test ran in a process inside the namespaces
//		}
//		sw.BringUp(2)
//		sw.NoError("set the MTU", sw.Links.SetMTU("Ethernet0", 1400))
//		sw.AwaitRecovery("a new MTU")
//	}
//
// Methods that fail end the test. The environment variables are:
//
//	PORTSYNCD_TEST_DB              the database, redis or lab; the default is redis if it is
//	                               installed, otherwise lab
//	PORTSYNCD_REQUIRE_INTEGRATION  if 1, a test that cannot run on this machine fails instead of
//	                               being skipped
package switchtest
