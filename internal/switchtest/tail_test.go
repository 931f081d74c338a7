package switchtest

import "testing"

// registeredTest is a test that only registers itself.
type registeredTest struct {
	T
	name string
	end  func()
}

func (t *registeredTest) Name() string     { return t.name }
func (t *registeredTest) Cleanup(f func()) { t.end = f }
func (t *registeredTest) Parallel()        {}

// TestTail checks that the turn of a package ends once, when a test ends and few enough tests
// remain, and not before all top-level tests are registered.
func TestTail(t *testing.T) {
	var r tail
	ended := 0
	r.begin(func() { ended++ }, 1)
	register := func(name string) *registeredTest {
		test := &registeredTest{name: name}
		r.parallel(test)
		return test
	}
	expect := func(when string, want int) {
		t.Helper()
		if ended != want {
			t.Errorf("%s: the turn has ended %d times, want %d", when, ended, want)
		}
	}
	register("TestSequential/subtest").end()
	expect("after the subtest of a test that is not parallel", 0)
	first := register("TestFirst")
	expect("with one test", 0)
	second, third := register("TestSecond"), register("TestThird")
	first.end()
	expect("with two tests left", 0)
	subtest := register("TestSecond/subtest")
	third.end()
	expect("with a test and its subtest left", 0)
	subtest.end()
	expect("with one test left", 1)
	second.end()
	expect("at the end", 1)
}
