// Command appproject answers by Argo CD's own code what an AppProject permits, so that tests can compare kubeassay
// with it.
//
// It reads one JSON object a line from standard input and writes one a line to standard output:
//
//	{"project": {...}, "sources": ["https://..."], "destinations": [{"server": "", "name": "", "namespace": ""}]}
//	{"sources": [true, ...], "destinations": [true, ...], "urls": ["normalized", ...]}
//
// "project" is the spec of an AppProject of argoproj.io/v1alpha1.
package main

import (
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/git"
	log "github.com/sirupsen/logrus"

	lines "kubeassay.dev/oracle_lines"
)

type destination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type question struct {
	Project      v1alpha1.AppProjectSpec `json:"project"`
	Sources      []string                `json:"sources"`
	Destinations []destination           `json:"destinations"`
}

type answer struct {
	Sources      []bool   `json:"sources"`
	Destinations []bool   `json:"destinations"`
	URLs         []string `json:"urls"`
}

func noClusters(string) ([]*v1alpha1.Cluster, error) { return nil, nil }

func main() {
	log.SetLevel(log.PanicLevel)
	lines.Answer(answered)
}

func answered(asked question) (answer, error) {
	project := v1alpha1.AppProject{Spec: asked.Project}
	said := answer{Sources: []bool{}, Destinations: []bool{}, URLs: []string{}}
	for _, url := range asked.Sources {
		said.Sources = append(said.Sources, project.IsSourcePermitted(v1alpha1.ApplicationSource{RepoURL: url}))
		said.URLs = append(said.URLs, git.NormalizeGitURL(url))
	}
	for _, to := range asked.Destinations {
		cluster := &v1alpha1.Cluster{Server: to.Server, Name: to.Name}
		permitted, err := project.IsDestinationPermitted(cluster, to.Namespace, noClusters)
		if err != nil {
			return said, err
		}
		said.Destinations = append(said.Destinations, permitted)
	}
	return said, nil
}
