package lab

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
)

// TestSetParallel runs this test binary with and without -parallel.
func TestSetParallel(t *testing.T) {
	const variable = "PORTSYNCD_TEST_WANT_PARALLEL"
	if want := os.Getenv(variable); want != "" {
		if err := SetParallel(3); err != nil {
			t.Fatal(err)
		}
		if got := flag.Lookup(parallelFlag).Value.String(); got != want {
			t.Errorf("%s tests run at the same time, want %s", got, want)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{strconv.Itoa(3 * runtime.GOMAXPROCS(0)), nil},
		{"5", []string{"-test.parallel=5"}},
	} {
		cmd := exec.Command(self, append(c.args, "-test.run=^TestSetParallel$")...)
		cmd.Env = append(os.Environ(), variable+"="+c.want)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", c.args, err, out)
		}
	}
}
