// Package controllers has the one name that Cilium takes from a module which the module proxy lacks.
package controllers

// DerivedServiceAnnotation marks the Service that stands for an imported one.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
