package conventions

import (
	"go/ast"
	"strings"
	"testing"
)

// faultPackages are the packages whose tests cause faults or unusual starts.
var faultPackages = []string{"integration/databases", "integration/faults", "integration/health", "integration/start"}

// reportChecks are the functions that compare what the daemon reports with the kernel and the databases.
var reportChecks = []string{"CheckAfterFault", "CheckSelfReport", "CheckSelfReportAt"}

// withoutReportCheck lists the tests in faultPackages that need not compare the report, with the reason.
var withoutReportCheck = map[string]string{
	"TestNoPasswordFile": "causes no fault",
	"TestPortsFirst":     "stops the daemon directly after each start",
	"TestWarmStartTimes": "causes no fault; TestWarmChanges checks the report of such a start",
}

// TestFaultTestsCheckReport checks that each test in faultPackages calls a function of reportChecks, itself
// or through functions of its package.
func TestFaultTestsCheckReport(t *testing.T) {
	calls := make(map[string]map[string][]string) // names that each function calls, by package
	for _, s := range sources(t) {
		for _, dir := range faultPackages {
			if s.dir != dir {
				continue
			}
			if calls[dir] == nil {
				calls[dir] = make(map[string][]string)
			}
			for _, d := range s.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					calls[dir][f.Name.Name] = calledNames(f)
				}
			}
		}
	}
	excused := 0
	for _, dir := range faultPackages {
		tests := 0
		for name := range calls[dir] {
			if !strings.HasPrefix(name, "Test") || name == "TestMain" {
				continue
			}
			tests++
			switch checks := reaches(calls[dir], name, make(map[string]bool)); {
			case withoutReportCheck[name] != "":
				excused++
				if checks {
					t.Errorf("%s checks the report: remove it from withoutReportCheck", name)
				}
			case !checks:
				t.Errorf("%s of %s does not check the report at its end: call one of %q", name, dir, reportChecks)
			}
		}
		if tests == 0 {
			t.Errorf("no tests in %s", dir)
		}
	}
	if excused != len(withoutReportCheck) {
		t.Errorf("withoutReportCheck has %d tests, %d exist", len(withoutReportCheck), excused)
	}
}

// calledNames returns the names of the functions and methods that f calls or uses.
func calledNames(f *ast.FuncDecl) (names []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}

// reaches reports whether the named function calls one of reportChecks, directly or through functions in
// calls. seen contains the functions that have been visited.
func reaches(calls map[string][]string, name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	for _, called := range calls[name] {
		for _, check := range reportChecks {
			if called == check {
				return true
			}
		}
		if _, known := calls[called]; known && reaches(calls, called, seen) {
			return true
		}
	}
	return false
}
